-- rejot: consumer-schema account-to-shop
-- reads: accounts/publish-account 1
-- destination: shop
-- on-error: quarantine

INSERT INTO account_destination (id, full_name, email)
VALUES (:id, CONCAT(:firstName, ' ', :lastName), JSON_VALUE(:emails, '$[0]'))
ON DUPLICATE KEY UPDATE full_name = CONCAT(:firstName, ' ', :lastName), email = JSON_VALUE(:emails, '$[0]');

-- delete:
DELETE FROM account_destination WHERE id = :id;

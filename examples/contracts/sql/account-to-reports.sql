-- rejot: consumer-schema account-to-reports
-- reads: accounts/publish-account 1
-- destination: reports

INSERT INTO account_destination (id, full_name, email)
VALUES (:id, :firstName || ' ' || :lastName, (:emails::text[])[1])
ON CONFLICT (id) DO UPDATE SET full_name = :firstName || ' ' || :lastName, email = (:emails::text[])[1];

-- delete:
DELETE FROM account_destination WHERE id = :id;

-- rejot: public-schema publish-account 1.0
-- source: source
-- table: account
-- owner: accounts
-- description: An account with its e-mail addresses

SELECT a.id,
       (SELECT ARRAY_AGG(e.email ORDER BY e.id) FROM account_emails e WHERE e.account_id = a.id) AS emails,
       a.first_name AS "firstName", a.last_name AS "lastName"
FROM account a
WHERE a.id = :id

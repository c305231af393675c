CREATE TABLE account (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    first_name text NOT NULL,
    last_name  text NOT NULL
);
CREATE TABLE account_emails (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id bigint NOT NULL REFERENCES account ON DELETE CASCADE,
    email      text NOT NULL
);
CREATE INDEX ON account_emails (account_id);
-- without it a deleted e-mail cannot say whose it was, and the contract is refused with this statement
ALTER TABLE account_emails REPLICA IDENTITY FULL;

CREATE TABLE customers (
    id   bigint PRIMARY KEY,
    name text NOT NULL
);
CREATE TABLE orders (
    id          bigint PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES customers,
    amount      bigint NOT NULL,
    currency    smallint NOT NULL
);
CREATE INDEX ON orders (customer_id);

INSERT INTO account (first_name, last_name) VALUES ('Ada', 'Lovelace'), ('Alan', 'Turing'), ('Grace', 'Hopper');
INSERT INTO account_emails (account_id, email) VALUES (1, 'ada@example.org'), (2, 'alan@example.org'), (2, 'turing@example.org');
INSERT INTO customers VALUES (1, 'Analytical Engines'), (2, 'Bombe & Co');
INSERT INTO orders VALUES (10, 1, 4200, 978), (11, 1, 1500, 978), (12, 2, 99900, 826);

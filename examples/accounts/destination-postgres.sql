CREATE TABLE account_destination (
    id        bigint PRIMARY KEY,
    full_name text NOT NULL,
    email     text
);

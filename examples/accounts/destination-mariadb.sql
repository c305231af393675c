CREATE TABLE account_destination (
    id        bigint PRIMARY KEY,
    full_name varchar(200) NOT NULL,
    email     varchar(200)
);
CREATE TABLE users (
    id   bigint PRIMARY KEY,
    name varchar(200) NOT NULL
);
CREATE TABLE orders (
    id       bigint PRIMARY KEY,
    user_id  bigint NOT NULL,
    amount   bigint NOT NULL,
    currency smallint NOT NULL
);

-- rejot: public-schema credit-line 1.0
-- source: source
-- table: orders

SELECT o.id, c.name, o.customer_id, o.amount, o.currency
FROM orders o
JOIN customers c ON c.id = o.customer_id
WHERE o.id = :id;

-- As .dump of the sqlite3 shell writes a database.
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE items (id integer NOT NULL PRIMARY KEY AUTOINCREMENT, order_id integer NOT NULL REFERENCES orders (id) ON DELETE CASCADE);
INSERT INTO items VALUES(1,1);
CREATE TABLE orders (id integer NOT NULL PRIMARY KEY AUTOINCREMENT, note text NOT NULL DEFAULT 'a;b');
INSERT INTO orders VALUES(1,'it''s; -- no end');
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('items',1);
CREATE TRIGGER orders_note AFTER INSERT ON orders BEGIN UPDATE orders SET note = CASE note WHEN 'x' THEN 'y' ELSE note END WHERE id = NEW.id; DELETE FROM items WHERE id < 0; END;
CREATE VIEW newest AS SELECT max(id) AS id FROM orders;
COMMIT;
/* nothing */;
-- the end
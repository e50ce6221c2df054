-- A line break and a tab in names of a table, a column and an index.
CREATE TABLE `two
lines` (id int PRIMARY KEY, `a
b` int NOT NULL DEFAULT 3 COMMENT 'x', `c	d` int, KEY `k
1` (`a
b`));

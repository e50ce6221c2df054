-- An index that queries do not use.
CREATE TABLE t (id int PRIMARY KEY, a int, KEY by_a (a) INVISIBLE, UNIQUE KEY once (a, id) INVISIBLE);

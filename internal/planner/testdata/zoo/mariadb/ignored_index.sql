-- An index that queries do not use.
CREATE TABLE t (id int PRIMARY KEY, a int, KEY by_a (a) IGNORED, UNIQUE KEY once (a, id) IGNORED);

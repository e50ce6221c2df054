-- Generated columns, stored and virtual, with strings and indexes.
CREATE TABLE t (
  id int PRIMARY KEY, a int, j json, b int AS (a * 2) STORED, c varchar(40) AS (concat(a, ' it''s, ', '\\')) VIRTUAL COMMENT 'c',
  d varchar(9) AS (json_value(j, '$.name')) VIRTUAL, e int AS (a + b) STORED UNIQUE, KEY by_d (d)
);

-- Indexes: prefix, descending, on expressions, multi-valued, FULLTEXT with a parser, with options.
CREATE TABLE t (
  id int PRIMARY KEY, a varchar(200), b text, c int, j json,
  KEY p (a(10)), KEY de (c DESC, a), KEY ex ((lower(a))), UNIQUE KEY ex2 ((c + 1), a), KEY mv ((CAST(j -> '$.ids' AS UNSIGNED ARRAY))),
  FULLTEXT KEY ft (b), FULLTEXT KEY ng (a) WITH PARSER ngram, KEY bt (c) USING BTREE, KEY bs (c, id) KEY_BLOCK_SIZE=4,
  KEY c (c), KEY strs ((concat(a, ',)''`')))
);

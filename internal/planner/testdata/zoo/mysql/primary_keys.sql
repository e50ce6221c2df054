-- Primary keys: composite, descending, of a prefix, USING BTREE, none, and one the server made.
CREATE TABLE t (a int, b int, PRIMARY KEY (b, a DESC));
CREATE TABLE u (a varchar(300), PRIMARY KEY (a(20)));
CREATE TABLE v (a int, PRIMARY KEY (a) USING BTREE COMMENT 'pk');
CREATE TABLE w (a int);
SET sql_generate_invisible_primary_key = ON;
CREATE TABLE x (a int);

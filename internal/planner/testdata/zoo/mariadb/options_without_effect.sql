-- Options that InnoDB ignores where it is not strict.
SET innodb_strict_mode = OFF;
CREATE TABLE t (id int PRIMARY KEY) ROW_FORMAT=FIXED;
CREATE TABLE u (id int PRIMARY KEY) ROW_FORMAT=DYNAMIC KEY_BLOCK_SIZE=8;
CREATE TABLE v (id int PRIMARY KEY) KEY_BLOCK_SIZE=3;

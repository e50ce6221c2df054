-- CHECKs of columns, which have no name of their own.
CREATE TABLE t (id int PRIMARY KEY, a int CHECK (a > 0), b varchar(9) DEFAULT 'x' COMMENT 'c' CHECK (b <> 'it''s'),
  CHECK (a < 10), CONSTRAINT named CHECK (a <> 5));

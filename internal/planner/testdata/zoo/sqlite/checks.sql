-- CHECKs of columns and of tables, with names and without.
CREATE TABLE t (id integer PRIMARY KEY, a int CHECK (a > 0), b text CONSTRAINT named CHECK (b <> 'CHECK (' AND b <> ''''),
  CHECK (a < 10 OR b IN (',', ')')), CONSTRAINT "odd name" CHECK (json_valid(b)));

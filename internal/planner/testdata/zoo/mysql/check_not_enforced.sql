-- A CHECK that is written down and not enforced, beside one that is.
CREATE TABLE t (
  id int PRIMARY KEY, a int,
  CONSTRAINT loose CHECK (a > 0) NOT ENFORCED,
  CONSTRAINT firm CHECK (a < 10)
);

-- Columns that SELECT * leaves out: plain, with a default, generated, filled by the clock, and an id.
CREATE TABLE t (
  id int NOT NULL AUTO_INCREMENT INVISIBLE PRIMARY KEY,
  a int INVISIBLE,
  b varchar(9) NOT NULL DEFAULT 'x' INVISIBLE,
  c int GENERATED ALWAYS AS (a + 1) VIRTUAL INVISIBLE,
  d timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP INVISIBLE,
  e int
);

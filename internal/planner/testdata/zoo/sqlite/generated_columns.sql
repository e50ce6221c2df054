-- Generated columns, stored and virtual, and with names that need quotes.
CREATE TABLE t (id integer PRIMARY KEY, a int, b int GENERATED ALWAYS AS (a * 2) STORED, c text AS (a || ', ('), [d e] int AS (a + 1) VIRTUAL,
  "f(" int AS (a));

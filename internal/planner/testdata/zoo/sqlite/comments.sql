-- Comments within a definition, one of which looks like a part of it.
CREATE TABLE t ( -- the table
  id integer PRIMARY KEY, -- CHECK (no),
  a int /* , b int */ DEFAULT 1, -- it's "quoted`
  c text
  -- the end
);

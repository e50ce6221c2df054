-- Formats of columns, and attributes for a second engine.
CREATE TABLE t (
  id int PRIMARY KEY, a int COLUMN_FORMAT FIXED, b varchar(9) COLUMN_FORMAT DYNAMIC DEFAULT 'x', c int STORAGE MEMORY,
  e int SECONDARY_ENGINE_ATTRIBUTE='{"k": 1}', f json NOT SECONDARY
);

-- Columns that compare in another way, and types with lengths.
CREATE TABLE t (id integer PRIMARY KEY, a text COLLATE NOCASE NOT NULL, b varchar(20) COLLATE RTRIM DEFAULT 'x', c decimal(10, 2),
  d VARCHAR(255) UNIQUE COLLATE NOCASE, e "odd type (" , f, g text(3), h nvarchar(100));

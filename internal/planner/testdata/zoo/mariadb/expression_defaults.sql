-- Defaults that are expressions, with and without ON UPDATE.
CREATE TABLE t (
  id varchar(36) NOT NULL DEFAULT uuid() PRIMARY KEY, a timestamp NOT NULL DEFAULT now() ON UPDATE now(),
  c datetime(3) DEFAULT (now(3) + interval 1 day) ON UPDATE now(3), f text DEFAULT concat('it''s', '\\'), g date DEFAULT (curdate()),
  h int DEFAULT (1 + 2), i blob DEFAULT 'b', j varchar(30) DEFAULT concat('a', ',', ')'), k text DEFAULT ''
);

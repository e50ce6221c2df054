-- Defaults that are expressions, with and without ON UPDATE.
CREATE TABLE t (
  id varchar(36) NOT NULL DEFAULT (uuid()) PRIMARY KEY,
  a timestamp NOT NULL DEFAULT (now()) ON UPDATE CURRENT_TIMESTAMP,
  b timestamp NULL DEFAULT (now()), c datetime(3) DEFAULT (now(3)) ON UPDATE CURRENT_TIMESTAMP(3),
  d json DEFAULT (json_array()), e json DEFAULT ('{"a": "it''s"}'), f text DEFAULT ('text\\'),
  g date DEFAULT (curdate()), h int DEFAULT (1 + 2), i binary(16) DEFAULT (uuid_to_bin(uuid())),
  j varchar(30) DEFAULT (concat('a', ',', ')'))
);

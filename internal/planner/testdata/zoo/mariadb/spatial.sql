-- Geometry with a reference system, and spatial indexes.
CREATE TABLE t (
  id int PRIMARY KEY, p point REF_SYSTEM_ID=4326 NOT NULL, q point NOT NULL, g geometry, c geometrycollection,
  SPATIAL KEY by_p (p), SPATIAL KEY by_q (q) COMMENT 'q'
);

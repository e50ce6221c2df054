-- Geometry with a reference system, and spatial indexes.
CREATE TABLE t (
  id int PRIMARY KEY, p point NOT NULL SRID 4326, q point NOT NULL, g geometry, m multipolygon NOT NULL /*!80003 SRID 0 */,
  c geomcollection, SPATIAL KEY by_p (p), SPATIAL KEY by_m (m) COMMENT 'm'
);

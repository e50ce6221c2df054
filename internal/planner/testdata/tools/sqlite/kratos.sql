-- The shape in which Ory Kratos makes tables of SQLite.
CREATE TABLE "networks" ("id" TEXT PRIMARY KEY, "created_at" DATETIME NOT NULL);
CREATE TABLE "identities" ("id" TEXT PRIMARY KEY, "traits" TEXT NOT NULL, "nid" char(36), "state" TEXT NOT NULL DEFAULT 'active',
  FOREIGN KEY (nid) REFERENCES networks (id) ON UPDATE RESTRICT ON DELETE CASCADE);
CREATE UNIQUE INDEX "identities_nid_idx" ON "identities" (id, nid);
CREATE INDEX "identities_state_idx" ON "identities" (nid, state DESC);

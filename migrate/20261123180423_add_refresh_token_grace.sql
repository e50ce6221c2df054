-- Modify "refresh_tokens" table
ALTER TABLE `refresh_tokens` ADD COLUMN `grace_uses` int NOT NULL DEFAULT 0;

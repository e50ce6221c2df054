-- Add column "grace_uses" to table: "refresh_tokens"
ALTER TABLE `refresh_tokens` ADD COLUMN `grace_uses` integer NOT NULL DEFAULT 0;

-- Modify "otps" table
ALTER TABLE `otps` ADD COLUMN `ticket_hash` varchar(64) CHARSET ascii NULL COLLATE ascii_bin, ADD COLUMN `origin_hash` varchar(64) CHARSET ascii NULL COLLATE ascii_bin, ADD COLUMN `is_known_device` bool NOT NULL DEFAULT 0, ADD COLUMN `is_link` bool NOT NULL DEFAULT 0, ADD COLUMN `requested_by` bigint NULL, ADD COLUMN `first_step` enum('password','mail','provider','reactivation','email-change') NULL, ADD COLUMN `trust_epoch` int NULL;
-- Modify "refresh_tokens" table
ALTER TABLE `refresh_tokens` ADD COLUMN `family` varchar(32) CHARSET ascii NULL COLLATE ascii_bin, ADD COLUMN `successor_salt` varchar(64) CHARSET ascii NULL COLLATE ascii_bin;
-- Modify "sessions" table
ALTER TABLE `sessions` ADD COLUMN `family` varchar(32) CHARSET ascii NULL COLLATE ascii_bin, ADD COLUMN `trust_epoch` int NULL, ADD COLUMN `device_failures` int NOT NULL DEFAULT 0;
-- Modify "users" table
ALTER TABLE `users` ADD COLUMN `suspended_until` datetime(6) NULL, ADD COLUMN `guess_failures` int NOT NULL DEFAULT 0, ADD COLUMN `step_failures` int NOT NULL DEFAULT 0, ADD COLUMN `trust_epoch` int NOT NULL DEFAULT 0, ADD COLUMN `reset_by_mail` bool NOT NULL DEFAULT 0;
-- Find the long locks by an index: without it the next statement locks every account while it reads them
ALTER TABLE `users` ADD INDEX `authgraph_lock_until` (`lock_until`);
-- A lock longer than guessing causes by default is an operator's: it becomes a suspension
UPDATE `users` FORCE INDEX (`authgraph_lock_until`) SET `suspended_until` = CONVERT_TZ(`lock_until`, @@session.time_zone, '+00:00'), `updated_at` = `updated_at` WHERE `lock_until` > CURRENT_TIMESTAMP(6) + INTERVAL 15 MINUTE;
-- Drop the index, which serves nothing else
ALTER TABLE `users` DROP INDEX `authgraph_lock_until`;

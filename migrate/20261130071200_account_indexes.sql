-- Modify "otps" table
ALTER TABLE `otps` ADD INDEX `otp_email_created_at` (`email`, `created_at`), ADD INDEX `otp_origin_hash_created_at` (`origin_hash`, `created_at`), ADD INDEX `otp_ticket_hash` (`ticket_hash`);
-- Modify "refresh_tokens" table
ALTER TABLE `refresh_tokens` ADD INDEX `refreshtoken_family_is_revoked` (`family`, `is_revoked`);
-- Modify "sessions" table
ALTER TABLE `sessions` DROP INDEX `session_user_id_is_active_expires_at`, ADD INDEX `session_family` (`family`), ADD INDEX `session_user_id_is_active_last_used_at` (`user_id`, `is_active`, `last_used_at`);

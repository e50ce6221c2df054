-- Create index "otp_ticket_hash" to table: "otps"
CREATE INDEX `otp_ticket_hash` ON `otps` (`ticket_hash`);
-- Create index "otp_email_created_at" to table: "otps"
CREATE INDEX `otp_email_created_at` ON `otps` (`email`, `created_at`);
-- Create index "otp_origin_hash_created_at" to table: "otps"
CREATE INDEX `otp_origin_hash_created_at` ON `otps` (`origin_hash`, `created_at`);
-- Create index "refreshtoken_family_is_revoked" to table: "refresh_tokens"
CREATE INDEX `refreshtoken_family_is_revoked` ON `refresh_tokens` (`family`, `is_revoked`);
-- Drop index "session_user_id_is_active_expires_at" from table: "sessions"
DROP INDEX `session_user_id_is_active_expires_at`;
-- Create index "session_user_id_is_active_last_used_at" to table: "sessions"
CREATE INDEX `session_user_id_is_active_last_used_at` ON `sessions` (`user_id`, `is_active`, `last_used_at`);
-- Create index "session_family" to table: "sessions"
CREATE INDEX `session_family` ON `sessions` (`family`);

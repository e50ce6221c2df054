-- What the service of the version before writes, as MySQL got it, without what changed no row.
-- Register
INSERT INTO `users` (`created_at`, `updated_at`, `name`, `email`, `password`, `role`, `provider`, `is_email_verified`, `failed_login_attempts`, `is_deleted`) VALUES ('2026-11-30 07:53:46.008146', '2026-11-30 07:53:46.008156', 'Ada', 'ada@example.com', 'c4bbcb1fbec99d65bf59d85c8cb62ee2db963f0fe106f483d9afa73bd4e39a8a', 'user', 'local', 0, 0, 0);
-- Issue a code
INSERT INTO `otps` (`created_at`, `updated_at`, `email`, `otp_hash_code`, `next_resend_allowed_at`, `type`, `expires_at`, `is_used`, `attempts`, `max_attempts`) VALUES ('2026-11-30 07:53:46.010237', '2026-11-30 07:53:46.010286', 'ada@example.com', '24f2cd2abad444bc0c265b4479eb9e6bae49aec19aaffc016795a47f8bea876f', '2026-11-30 07:54:46.010237', 'email-verification', '2026-11-30 08:03:46.010237', 0, 0, 5);
-- Verify an email address
UPDATE `otps` SET `updated_at` = '2026-11-30 07:53:46.017007', `attempts` = COALESCE(`otps`.`attempts`, 0) + 1 WHERE ((`otps`.`id` = 1 AND NOT `otps`.`is_used`) AND `otps`.`expires_at` > '2026-11-30 07:53:46.017006') AND `otps`.`attempts` < `otps`.`max_attempts`;
UPDATE `otps` SET `updated_at` = '2026-11-30 07:53:46.019112', `is_used` = 1, `used_at` = '2026-11-30 07:53:46.019108' WHERE (`otps`.`id` = 1 AND NOT `otps`.`is_used`) AND `otps`.`expires_at` > '2026-11-30 07:53:46.019108';
UPDATE `users` SET `updated_at` = '2026-11-30 07:53:46.020351', `is_email_verified` = 1 WHERE `users`.`email` = 'ada@example.com' AND NOT `users`.`is_deleted`;
-- Sign in
UPDATE `users` SET `updated_at` = '2026-11-30 07:53:46.028552', `failed_login_attempts` = COALESCE(`users`.`failed_login_attempts`, 0) + 1 WHERE (`users`.`id` = 1 AND `users`.`lock_until` IS NULL) AND `users`.`failed_login_attempts` < 2;
UPDATE `users` SET `lock_until` = NULL, `updated_at` = '2026-11-30 07:53:46.029607', `last_login_at` = '2026-11-30 07:53:46.029593', `failed_login_attempts` = 0 WHERE (`users`.`id` = 1 AND `users`.`password` = 'c4bbcb1fbec99d65bf59d85c8cb62ee2db963f0fe106f483d9afa73bd4e39a8a') AND (NOT `users`.`is_deleted` AND (`users`.`lock_until` IS NULL OR `users`.`lock_until` <= '2026-11-30 07:53:46.029601'));
INSERT INTO `sessions` (`created_at`, `updated_at`, `token_hash`, `ip`, `user_agent`, `is_active`, `last_used_at`, `expires_at`, `user_id`) VALUES ('2026-11-30 07:53:46.030343', '2026-11-30 07:53:46.030369', 'c7093c90b40b2941047865979e4920ae30606781d1fdf9d32614dcbfa4d43890', '192.0.2.7', 'fault test', 1, '2026-11-30 07:53:46.030343', '2026-12-30 07:53:46.030343', 1);
INSERT INTO refresh_tokens (created_at, updated_at, user_id, token_hash, expires_at, is_revoked, grace_uses) VALUES ('2026-11-30 07:53:46.031451', '2026-11-30 07:53:46.031451', 1, '5c579dd1e1305309299d2660d255538ef4db3eaf56b4e0a415e7a905701abfb1', '2027-02-28 07:53:46.03145', false, 0);
-- Sign in with a wrong password, until the lock
UPDATE `users` SET `updated_at` = '2026-11-30 07:53:46.032653', `failed_login_attempts` = COALESCE(`users`.`failed_login_attempts`, 0) + 1 WHERE (`users`.`id` = 1 AND `users`.`lock_until` IS NULL) AND `users`.`failed_login_attempts` < 2;
UPDATE `users` SET `updated_at` = '2026-11-30 07:53:46.036194', `failed_login_attempts` = COALESCE(`users`.`failed_login_attempts`, 0) + 1 WHERE (`users`.`id` = 1 AND `users`.`lock_until` IS NULL) AND `users`.`failed_login_attempts` < 2;
UPDATE `users` SET `updated_at` = '2026-11-30 07:53:46.037014', `lock_until` = '2026-11-30 08:08:46.037012' WHERE (`users`.`id` = 1 AND `users`.`lock_until` IS NULL) AND `users`.`failed_login_attempts` >= 2;
-- Sign in when the lock has ended
UPDATE `users` SET `lock_until` = NULL, `updated_at` = '2026-11-30 07:53:46.038719', `failed_login_attempts` = 1 WHERE `users`.`id` = 1 AND `users`.`lock_until` <= '2026-11-30 08:53:46.038714';
UPDATE `users` SET `lock_until` = NULL, `updated_at` = '2026-11-30 07:53:46.039684', `last_login_at` = '2026-11-30 08:53:46.039677', `failed_login_attempts` = 0 WHERE (`users`.`id` = 1 AND `users`.`password` = 'c4bbcb1fbec99d65bf59d85c8cb62ee2db963f0fe106f483d9afa73bd4e39a8a') AND (NOT `users`.`is_deleted` AND (`users`.`lock_until` IS NULL OR `users`.`lock_until` <= '2026-11-30 08:53:46.03968'));
INSERT INTO `sessions` (`created_at`, `updated_at`, `token_hash`, `ip`, `user_agent`, `is_active`, `last_used_at`, `expires_at`, `user_id`) VALUES ('2026-11-30 08:53:46.04169', '2026-11-30 07:53:46.041753', 'd02104ef719cb858e973dc41281209c58d534c4ae733aee9af867873261de92a', '192.0.2.7', 'fault test', 1, '2026-11-30 08:53:46.04169', '2026-12-30 08:53:46.04169', 1);
INSERT INTO refresh_tokens (created_at, updated_at, user_id, token_hash, expires_at, is_revoked, grace_uses) VALUES ('2026-11-30 08:53:46.044013', '2026-11-30 07:53:46.044013', 1, '4033a20562db59be37e0dc16278dbf2896d7040ea9af03a43d07d6f4334d67f3', '2027-02-28 08:53:46.044012', false, 0);
-- Check a session
UPDATE `sessions` SET `updated_at` = '2026-11-30 07:53:46.047353', `last_used_at` = '2026-11-30 10:53:46.047329' WHERE (`sessions`.`id` = 2 AND `sessions`.`is_active`) AND `sessions`.`last_used_at` <= '2026-11-30 10:52:46.047329';
-- Rotate
UPDATE refresh_tokens SET updated_at = '2026-11-30 07:53:46.348866', is_revoked = true, revoked_at = '2026-11-30 10:53:46.348865', replaced_by_token_hash = '58392e4e5addd7fa995bd888fc2dbae2fbc4ba0c19f3a76e61372cf11f52ae4b' WHERE token_hash = '4033a20562db59be37e0dc16278dbf2896d7040ea9af03a43d07d6f4334d67f3' AND (NOT is_revoked AND expires_at > '2026-11-30 10:53:46.348865' AND created_at > '2026-11-16 10:53:46.348865' AND created_at <= '2026-11-30 10:58:46.348865');
INSERT INTO refresh_tokens (created_at, updated_at, user_id, token_hash, expires_at, is_revoked, grace_uses) VALUES ('2026-11-30 10:53:46.351456', '2026-11-30 07:53:46.351456', 1, '58392e4e5addd7fa995bd888fc2dbae2fbc4ba0c19f3a76e61372cf11f52ae4b', '2027-02-28 08:53:46.044012', false, 0);
-- Rotate in grace
UPDATE `refresh_tokens` SET `updated_at` = '2026-11-30 07:53:46.356148', `replaced_by_token_hash` = '5c1d50bbdd91bfc4e4d628f4a6a2d5b8a1bc629ab882cecd783d0a88b7b6d8e4', `grace_uses` = COALESCE(`refresh_tokens`.`grace_uses`, 0) + 1 WHERE ((`refresh_tokens`.`id` = 2 AND `refresh_tokens`.`replaced_by_token_hash` = '58392e4e5addd7fa995bd888fc2dbae2fbc4ba0c19f3a76e61372cf11f52ae4b') AND `refresh_tokens`.`revoked_at` > '2026-11-30 10:53:36.353808') AND `refresh_tokens`.`grace_uses` < 1;
UPDATE `refresh_tokens` SET `updated_at` = '2026-11-30 07:53:46.356572', `is_revoked` = 1, `revoked_at` = '2026-11-30 10:53:46.353808', `replaced_by_token_hash` = '5c1d50bbdd91bfc4e4d628f4a6a2d5b8a1bc629ab882cecd783d0a88b7b6d8e4', `grace_uses` = 1 WHERE `refresh_tokens`.`token_hash` = '58392e4e5addd7fa995bd888fc2dbae2fbc4ba0c19f3a76e61372cf11f52ae4b' AND NOT `refresh_tokens`.`is_revoked`;
INSERT INTO refresh_tokens (created_at, updated_at, user_id, token_hash, expires_at, is_revoked, grace_uses) VALUES ('2026-11-30 10:53:46.359013', '2026-11-30 07:53:46.359013', 1, '5c1d50bbdd91bfc4e4d628f4a6a2d5b8a1bc629ab882cecd783d0a88b7b6d8e4', '2027-02-28 08:53:46.044012', false, 0);
-- Reuse
UPDATE `refresh_tokens` SET `updated_at` = '2026-11-30 07:53:46.364562', `is_revoked` = 1, `revoked_at` = '2026-11-30 10:54:46.364561' WHERE `refresh_tokens`.`id` = 4 AND NOT `refresh_tokens`.`is_revoked`;
-- Sign out
UPDATE `sessions` SET `updated_at` = '2026-11-30 07:53:46.36564', `is_active` = 0 WHERE `sessions`.`token_hash` = 'd02104ef719cb858e973dc41281209c58d534c4ae733aee9af867873261de92a' AND `sessions`.`is_active`;
-- Sign in with a provider
INSERT INTO `users` (`created_at`, `updated_at`, `name`, `email`, `role`, `provider`, `provider_id`, `is_email_verified`, `failed_login_attempts`, `is_deleted`) VALUES ('2026-11-30 10:54:46.368126', '2026-11-30 07:53:46.368127', 'Bo', 'bo@example.com', 'user', 'google', '42', 1, 0, 0);
UPDATE `users` SET `updated_at` = '2026-11-30 07:53:46.368404', `last_login_at` = '2026-11-30 10:54:46.368399' WHERE (`users`.`id` = 2 AND (NOT `users`.`is_deleted` AND (`users`.`lock_until` IS NULL OR `users`.`lock_until` <= '2026-11-30 10:54:46.368401'))) AND (`users`.`provider` = 'google' AND `users`.`provider_id` = '42');
INSERT INTO `sessions` (`created_at`, `updated_at`, `token_hash`, `ip`, `user_agent`, `is_active`, `last_used_at`, `expires_at`, `user_id`) VALUES ('2026-11-30 10:54:46.368918', '2026-11-30 07:53:46.368927', 'a3a44ea78f49c69ee420859a6af24931bfe96eb38c068de1410787bd79565999', '192.0.2.7', 'fault test', 1, '2026-11-30 10:54:46.368918', '2026-12-30 10:54:46.368918', 2);
INSERT INTO refresh_tokens (created_at, updated_at, user_id, token_hash, expires_at, is_revoked, grace_uses) VALUES ('2026-11-30 10:54:46.370466', '2026-11-30 07:53:46.370466', 2, 'b173a3755c6262552c9b06ffcf325859d3878b0cf007853ba4db9e66035358b9', '2027-02-28 10:54:46.370465', false, 0);
-- Reset a password
INSERT INTO `otps` (`created_at`, `updated_at`, `email`, `otp_hash_code`, `next_resend_allowed_at`, `type`, `expires_at`, `is_used`, `attempts`, `max_attempts`) VALUES ('2026-11-30 10:54:46.371012', '2026-11-30 07:53:46.371052', 'ada@example.com', 'cbc79f45d1232b2855147e7b459942141a08b1222ac53fb39b6f191d2a50340e', '2026-11-30 10:55:46.371012', 'password-reset', '2026-11-30 11:04:46.371012', 0, 0, 5);
UPDATE `otps` SET `updated_at` = '2026-11-30 07:53:46.373691', `attempts` = COALESCE(`otps`.`attempts`, 0) + 1 WHERE ((`otps`.`id` = 2 AND NOT `otps`.`is_used`) AND `otps`.`expires_at` > '2026-11-30 10:54:46.37369') AND `otps`.`attempts` < `otps`.`max_attempts`;
UPDATE `otps` SET `updated_at` = '2026-11-30 07:53:46.37553', `is_used` = 1, `used_at` = '2026-11-30 10:54:46.375527' WHERE (`otps`.`id` = 2 AND NOT `otps`.`is_used`) AND `otps`.`expires_at` > '2026-11-30 10:54:46.375527';
UPDATE `users` SET `updated_at` = '2026-11-30 07:53:46.376207', `password` = '59c6c44857d193ce56d717f088c6c9e00a954ca20050791e213f9184313cc5c4', `failed_login_attempts` = 0 WHERE `users`.`id` = 1 AND NOT `users`.`is_deleted`;
UPDATE `sessions` SET `updated_at` = '2026-11-30 07:53:46.377408', `is_active` = 0 WHERE `sessions`.`user_id` = 1 AND `sessions`.`is_active`;
UPDATE `refresh_tokens` SET `updated_at` = '2026-11-30 07:53:46.377792', `is_revoked` = 1, `revoked_at` = '2026-11-30 10:54:46.377792' WHERE `refresh_tokens`.`user_id` = 1 AND NOT `refresh_tokens`.`is_revoked`;
-- Lock
UPDATE `users` SET `updated_at` = '2026-11-30 07:53:46.379778', `lock_until` = '2037-01-01 00:00:00' WHERE `users`.`id` = 1;
-- Unlock
UPDATE `users` SET `updated_at` = '2026-11-30 07:53:46.380048', `lock_until` = '1970-01-01 00:00:01' WHERE `users`.`id` = 1;
-- Delete
UPDATE `users` SET `updated_at` = '2026-11-30 07:53:46.380319', `is_deleted` = 1, `deleted_at` = '2026-11-30 10:54:46.380318', `re_activate_available_at` = '2026-11-30 10:54:46.380318' WHERE `users`.`id` = 1 AND NOT `users`.`is_deleted`;
-- Reactivate
UPDATE `users` SET `lock_until` = NULL, `updated_at` = '2026-11-30 07:53:46.385036', `failed_login_attempts` = 1 WHERE `users`.`id` = 1 AND `users`.`lock_until` <= '2026-11-30 10:54:46.385031';
UPDATE `users` SET `lock_until` = NULL, `deleted_at` = NULL, `re_activate_available_at` = NULL, `updated_at` = '2026-11-30 07:53:46.385406', `last_login_at` = '2026-11-30 10:54:46.385403', `failed_login_attempts` = 0, `is_deleted` = 0 WHERE (((`users`.`id` = 1 AND `users`.`password` = '59c6c44857d193ce56d717f088c6c9e00a954ca20050791e213f9184313cc5c4') AND `users`.`is_deleted`) AND (`users`.`re_activate_available_at` IS NULL OR `users`.`re_activate_available_at` <= '2026-11-30 10:54:46.385338')) AND (`users`.`lock_until` IS NULL OR `users`.`lock_until` <= '2026-11-30 10:54:46.385338');
INSERT INTO `sessions` (`created_at`, `updated_at`, `token_hash`, `ip`, `user_agent`, `is_active`, `last_used_at`, `expires_at`, `user_id`) VALUES ('2026-11-30 10:54:46.387788', '2026-11-30 07:53:46.387796', '86682ef685dfe3544dc3678592258804b3df2a7c5a4138d87d6d55f4bc295ded', '192.0.2.7', 'fault test', 1, '2026-11-30 10:54:46.387788', '2026-12-30 10:54:46.387788', 1);
INSERT INTO refresh_tokens (created_at, updated_at, user_id, token_hash, expires_at, is_revoked, grace_uses) VALUES ('2026-11-30 10:54:46.389805', '2026-11-30 07:53:46.389805', 1, '5dfcd2eb1156230aedfd8b12582721955a69bcf9e26a1b9c45821d706a277c70', '2027-02-28 10:54:46.389804', false, 0);
-- Delete again
UPDATE `users` SET `updated_at` = '2026-11-30 07:53:46.404956', `is_deleted` = 1, `deleted_at` = '2026-11-30 10:54:46.40495', `re_activate_available_at` = '2026-11-30 10:54:46.40495' WHERE `users`.`id` = 1 AND NOT `users`.`is_deleted`;
UPDATE `sessions` SET `updated_at` = '2026-11-30 07:53:46.407003', `is_active` = 0 WHERE `sessions`.`user_id` = 1 AND `sessions`.`is_active`;
UPDATE `refresh_tokens` SET `updated_at` = '2026-11-30 07:53:46.407418', `is_revoked` = 1, `revoked_at` = '2026-11-30 10:54:46.407417' WHERE `refresh_tokens`.`user_id` = 1 AND NOT `refresh_tokens`.`is_revoked`;
-- Purge
DELETE FROM `otps` WHERE `otps`.`id` IN (1, 2);
DELETE FROM `sessions` WHERE `sessions`.`id` IN (1, 2, 3, 4);
DELETE FROM `refresh_tokens` WHERE `refresh_tokens`.`id` IN (1, 2, 3, 4, 5, 6);
DELETE FROM `users` WHERE `users`.`id` IN (1) AND (`users`.`is_deleted` IN (1) AND `users`.`deleted_at` >= '1970-01-01 00:00:01' AND `users`.`deleted_at` < '2027-05-19 10:54:46.407804');

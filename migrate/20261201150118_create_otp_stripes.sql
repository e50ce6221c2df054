-- Create "otp_stripes" table
CREATE TABLE `otp_stripes` (
  `id` bigint NOT NULL,
  `turn` bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (`id`)
) CHARSET utf8mb4 COLLATE utf8mb4_bin;

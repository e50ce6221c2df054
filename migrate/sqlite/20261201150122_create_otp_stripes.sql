-- Create "otp_stripes" table
CREATE TABLE `otp_stripes` (
  `id` integer NOT NULL,
  `turn` integer NOT NULL DEFAULT 0,
  PRIMARY KEY (`id`)
);

-- The shape in which Ory Kratos makes tables: CHAR(36) ids, DATETIME, JSON, long names, one network id in each key.
CREATE TABLE `networks` (`id` char(36) NOT NULL, PRIMARY KEY (`id`), `created_at` DATETIME NOT NULL, `updated_at` DATETIME NOT NULL) ENGINE=InnoDB;
CREATE TABLE `identities` (
  `id` char(36) NOT NULL, `schema_id` VARCHAR(2048) NOT NULL, `traits` JSON NOT NULL, `created_at` DATETIME NOT NULL, `updated_at` DATETIME NOT NULL,
  `nid` char(36) DEFAULT NULL, `state` VARCHAR(255) NOT NULL DEFAULT 'active', `state_changed_at` timestamp NULL DEFAULT NULL,
  `metadata_public` JSON DEFAULT NULL, `available_aal` VARCHAR(4) DEFAULT NULL, PRIMARY KEY (`id`),
  KEY `identities_nid_id_idx` (`nid`, `id`), CONSTRAINT `identities_nid_fk_idx` FOREIGN KEY (`nid`) REFERENCES `networks` (`id`) ON UPDATE RESTRICT ON DELETE CASCADE
) ENGINE=InnoDB;
CREATE TABLE `identity_credential_identifiers` (
  `id` char(36) NOT NULL PRIMARY KEY, `identifier` VARCHAR(255) NOT NULL COLLATE utf8mb4_bin, `identity_id` char(36) NOT NULL, `nid` char(36) NOT NULL,
  `created_at` DATETIME NOT NULL, UNIQUE KEY `identity_credential_identifiers_identifier_nid_type_uq_idx` (`nid`, `identifier`),
  CONSTRAINT `identity_credential_identifiers_ibfk_1` FOREIGN KEY (`identity_id`) REFERENCES `identities` (`id`) ON DELETE CASCADE
);
CREATE TABLE `sessions` (
  `id` char(36) NOT NULL PRIMARY KEY, `issued_at` DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP, `expires_at` DATETIME NOT NULL,
  `authenticated_at` DATETIME NOT NULL, `identity_id` char(36) NOT NULL, `token` VARCHAR(39), `active` BOOLEAN DEFAULT false, `nid` char(36),
  `aal` VARCHAR(4) NOT NULL DEFAULT '', `authentication_methods` JSON NULL, UNIQUE KEY `sessions_token_uq_idx` (`token`),
  KEY `sessions_list_active_idx` (`nid`, `expires_at` DESC, `active`, `identity_id`),
  CONSTRAINT `sessions_ibfk_1` FOREIGN KEY (`identity_id`) REFERENCES `identities` (`id`) ON DELETE CASCADE
);
CREATE TABLE `courier_messages` (`id` char(36) NOT NULL PRIMARY KEY, `type` INTEGER NOT NULL, `status` INTEGER NOT NULL, `body` TEXT NOT NULL,
  `template_data` BLOB, `send_count` INTEGER NOT NULL DEFAULT 0, `created_at` DATETIME NOT NULL, KEY `courier_messages_status_idx` (`status`, `created_at`));

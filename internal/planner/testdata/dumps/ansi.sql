-- As mariadb-dump --compatible=ansi writes a database, cut short: the mode in which " quotes names is not undone.
/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO,ANSI' */;
/*!40014 SET @OLD_FOREIGN_KEY_CHECKS=@@FOREIGN_KEY_CHECKS, FOREIGN_KEY_CHECKS=0 */;

CREATE TABLE "items" (
  "id" bigint NOT NULL AUTO_INCREMENT,
  "order_id" bigint NOT NULL,
  PRIMARY KEY ("id"),
  KEY "items_order" ("order_id"),
  CONSTRAINT "items_orders" FOREIGN KEY ("order_id") REFERENCES "orders" ("id") ON DELETE CASCADE
) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
CREATE TABLE "orders" (
  "id" bigint NOT NULL AUTO_INCREMENT,
  "note" varchar(40) NOT NULL DEFAULT '' COMMENT 'a /*!40101 comment */; not code',
  PRIMARY KEY ("id")
) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

-- Types that MySQL has not: UUID, INET4, INET6, and JSON, which is a text with a CHECK.
CREATE TABLE t (
  id uuid NOT NULL DEFAULT uuid() PRIMARY KEY, a inet4 DEFAULT '1.2.3.4', b inet6 NOT NULL DEFAULT '::1', c json,
  d json NOT NULL DEFAULT '{}', e json DEFAULT json_array(), f longtext CHECK (json_valid(f)), g uuid, h json CHECK (h <> 'x')
);

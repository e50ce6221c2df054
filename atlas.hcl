# Plan and apply the migrations in migrate/ with the Atlas CLI.
#
#   atlas migrate diff NAME  --env mysql     any build; reads ent/schema.sql
#   atlas migrate diff NAME  --env ent       official build only; reads ent/schema
#   atlas migrate diff NAME  --env sqlite    the SQLite migrations
#   atlas migrate apply      --env mysql     to the database of DATABASE_URL
#   atlas migrate lint --latest 1 --env mysql   community build; needs Pro in the official one (v0.38 and later)
#
# Atlas tries migrations out in the empty database that ATLAS_DEV_URL names.
# Without it, Atlas starts one in Docker.

locals {
  dev = getenv("ATLAS_DEV_URL") != "" ? getenv("ATLAS_DEV_URL") : "docker://mysql/9/dev"
}

env "mysql" {
  src = "file://ent/schema.sql"
  dev = local.dev
  url = getenv("DATABASE_URL")
  migration {
    dir = "file://migrate"
  }
  format {
    migrate {
      diff = "{{ sql . \"  \" }}"
    }
  }
}

env "ent" {
  src = "ent://ent/schema"
  dev = local.dev
  url = getenv("DATABASE_URL")
  migration {
    dir = "file://migrate"
  }
  format {
    migrate {
      diff = "{{ sql . \"  \" }}"
    }
  }
}

env "sqlite" {
  src = "file://ent/schema.sqlite.sql"
  dev = "sqlite://dev?mode=memory"
  url = getenv("DATABASE_URL")
  migration {
    dir = "file://migrate/sqlite"
  }
  format {
    migrate {
      diff = "{{ sql . \"  \" }}"
    }
  }
}

# Plans, lints and applies migrate/ with the Atlas CLI.
#
#   atlas migrate diff NAME  --env mysql     any Atlas build: reads ent/schema.sql
#   atlas migrate diff NAME  --env ent       the official build: reads ent/schema itself
#   atlas migrate diff NAME  --env sqlite    the migrations of the embedded default
#   atlas migrate apply      --env mysql     to the database of DATABASE_URL
#
# ATLAS_DEV_URL names an empty database in which Atlas tries migrations out;
# without it, Atlas starts one in Docker.

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

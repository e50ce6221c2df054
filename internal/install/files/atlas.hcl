# Plans, lints and applies the migrations with the Atlas CLI; authgraph migrate
# does the same without it.
#
#   atlas migrate diff NAME --env local
#   atlas migrate apply     --env local    to the database of DATABASE_URL
#
# ATLAS_DEV_URL names an empty database in which Atlas tries migrations out.

locals {
  dev = getenv("ATLAS_DEV_URL") != "" ? getenv("ATLAS_DEV_URL") : "{{dev}}"
}

env "local" {
  src = "{{desired}}"
  dev = local.dev
  url = getenv("DATABASE_URL")
  migration {
    dir = "file://{{migrations}}"
  }
  format {
    migrate {
      diff = "{{ sql . \"  \" }}"
    }
  }
}

package doctor_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/dirtest"
	"github.com/authgraph/authgraph/internal/doctor"
	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/internal/registry"
)

// What a schema says of the id need not be what the database has, where Ent did not make the table. The server itself
// says here whether it takes the key.
func TestAForeignKeyThatTheServerWouldRefuseIsToldBefore(t *testing.T) {
	t.Parallel()
	const char, bin = "char(36)", "utf8mb4_bin"
	cases := []struct{ users, id, key, found, fix string }{
		{users: "CHARSET utf8mb4 COLLATE utf8mb4_bin", id: char, key: char},
		{users: "CHARSET utf8mb4 COLLATE utf8mb4_bin", id: "varchar(40)", key: char},
		{
			users: "CHARSET utf8mb4 COLLATE utf8mb4_general_ci", id: char,
			key: char + " NOT NULL COLLATE utf8mb4_general_ci",
		},
		{
			users: "CHARSET utf8mb4 COLLATE utf8mb4_general_ci", id: char, key: char,
			found: "people.key is char(36) utf8mb4_general_ci in the database, and sessions.user_id, ",
			fix:   "ALTER TABLE `people` MODIFY `key` char(36) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL",
		},
		{users: "CHARSET latin1", id: char, key: char, found: " latin1_swedish_ci in the database", fix: bin},
		{users: "CHARSET utf8mb4", id: "int unsigned", key: "int unsigned"},
		{users: "CHARSET utf8mb4", id: "int unsigned", key: "bigint", found: "becomes bigint: ", fix: "the field id"},
		{users: "CHARSET utf8mb4", id: "bigint", key: char, found: "becomes char(36) utf8mb4_bin", fix: "the field id"},
		{users: "CHARSET utf8mb4", id: char, key: "bigint", found: "becomes bigint: ", fix: "declare the field id"},
		{users: "CHARSET utf8mb4", id: "binary(16)", key: "binary(16)"},
		{users: "ENGINE MyISAM", id: "bigint", key: "bigint", found: "people is kept by MyISAM", fix: "InnoDB"},
	}
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		db := mysqltest.DB(t, url)
		users := &registry.Users{Name: "people", Columns: map[string]string{"id": "key"}}
		for _, c := range cases {
			mysqltest.Exec(t, db, "DROP TABLE IF EXISTS people",
				"CREATE TABLE people (`key` "+c.id+" NOT NULL PRIMARY KEY) "+c.users)
			if !strings.Contains(c.key, " NOT NULL") {
				c.key += " NOT NULL"
			}
			create := "CREATE TABLE `sessions` (\n  `id` bigint NOT NULL AUTO_INCREMENT,\n  `user_id` " + c.key +
				",\n  PRIMARY KEY (`id`),\n  CONSTRAINT `owner` FOREIGN KEY (`user_id`) REFERENCES `people` (`key`)" +
				" ON DELETE CASCADE\n) CHARSET utf8mb4 COLLATE utf8mb4_bin;\n"
			dir := dirtest.New(t, dirtest.Files{"1_auth.sql": create})

			err := doctor.Refers(t.Context(), db, users, dir)
			_, refused := db.ExecContext(t.Context(), create)
			if c.found == "" {
				require.NoError(t, err, "%+v", c)
				require.NoError(t, refused, "%+v", c)
				mysqltest.Exec(t, db, "DROP TABLE sessions")
				continue
			}
			require.Error(t, refused, "%+v", c)
			var wrong *doctor.Misfit
			require.ErrorAs(t, err, &wrong, "%+v", c)
			assert.Contains(t, wrong.Error(), c.found)
			assert.Contains(t, wrong.Fix, c.fix)
			// What changes the id before is not judged.
			dir = dirtest.New(t, dirtest.Files{
				"0_id.sql": "ALTER TABLE `people` MODIFY COLUMN `key` bigint NOT NULL;\n", "1_auth.sql": create,
			})
			assert.NoError(t, doctor.Refers(t.Context(), db, users, dir))
		}
	})
}

func TestAProjectWithoutMigrationsHasNoKeysToCompare(t *testing.T) {
	t.Parallel()
	url := mysqltest.MySQL(t)
	mysqltest.Exec(t, mysqltest.DB(t, url), "CREATE TABLE people (`key` bigint NOT NULL PRIMARY KEY)")
	found, err := doctor.Run(t.Context(), url, doctor.Options{
		Users: &registry.Users{Name: "people", Columns: map[string]string{"id": "key"}}, Unversioned: true,
	})
	require.NoError(t, err)
	assert.NotEmpty(t, found)
}

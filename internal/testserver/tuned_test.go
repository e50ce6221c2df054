package testserver

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestATunedServerIsTheCallersOwn(t *testing.T) {
	t.Parallel()
	own := MySQL.Tuned("--innodb-buffer-pool-size=1G")
	assert.Empty(t, own.variable, "no server of the environment has these flags")
	assert.Equal(t, []string{"--innodb-buffer-pool-size=1G"}, own.tuning)
	assert.Empty(t, MySQL.tuning, "the tests' own server stays as it is")
	assert.NoError(t, MariaDB.Tuned().checkVersion("11.8.9-MariaDB-4 from Debian"))
	assert.Error(t, own.checkVersion("11.8.9-MariaDB-4 from Debian"))
}

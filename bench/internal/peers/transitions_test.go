package peers_test

import (
	"database/sql"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/bench/internal/peers"
	"github.com/authgraph/authgraph/internal/mysqltest"
	"github.com/authgraph/authgraph/migrate"
)

// left is what a transition leaves of a person, but for what is drawn, ids and times.
const left = `SELECT CONCAT_WS(',',
	(SELECT CONCAT_WS(' ', u.password, u.provider, u.is_email_verified, u.failed_login_attempts, u.guess_failures,
		u.step_failures, u.trust_epoch, u.is_deleted, u.lock_until IS NULL, u.last_login_at IS NULL,
		u.deleted_at IS NULL)
		FROM users u WHERE u.email = p.email),
	(SELECT GROUP_CONCAT(CONCAT_WS(' ', s.is_active, s.ip, s.trust_epoch, s.device_failures, s.family IS NULL)
		ORDER BY s.id) FROM sessions s JOIN users u ON u.id = s.user_id WHERE u.email = p.email),
	(SELECT GROUP_CONCAT(CONCAT_WS(' ', t.is_revoked, t.replaced_by_token_hash IS NULL, t.family IS NULL)
		ORDER BY t.id) FROM refresh_tokens t JOIN users u ON u.id = t.user_id WHERE u.email = p.email),
	(SELECT GROUP_CONCAT(CONCAT_WS(' ', o.type, o.is_used, o.attempts, o.first_step) ORDER BY o.id)
		FROM otps o WHERE o.email = p.email)) FROM (SELECT ? AS email) p`

func TestEveryTransitionByHandLeavesWhatPackageAuthDoes(t *testing.T) {
	t.Parallel()
	url := mysqltest.MySQL(t)
	_, err := migrate.Apply(t.Context(), url, migrate.ApplyOptions{})
	require.NoError(t, err)
	stage, err := peers.OpenStage(t.Context(), url, 2)
	require.NoError(t, err)
	t.Cleanup(stage.Close)
	db := mysqltest.DB(t, url)
	look := func(p *peers.Person) (text sql.NullString) {
		require.NoError(t, db.QueryRowContext(t.Context(), left, p.Email).Scan(&text))
		return text
	}
	for _, transition := range peers.Transitions {
		passage, err := stage.Learn(t.Context(), &transition)
		require.NoError(t, err, transition.Name)
		t.Log(transition.Name, passage.Statements())
		armed := func() *peers.Person {
			p, err := passage.Arm(t.Context())
			require.NoError(t, err, transition.Name)
			return p
		}
		ours, theirs := armed(), armed()
		before := look(ours)
		require.NoError(t, passage.ByAuth(t.Context(), ours), transition.Name)
		require.NoError(t, passage.ByHand(t.Context(), theirs), transition.Name)
		after := look(ours)
		assert.Equal(t, after, look(theirs), transition.Name)
		if transition.Name != peers.SignInRead {
			assert.NotEqual(t, before, after, "%s changes nothing", transition.Name)
		}
	}
}

package adopt_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/authgraph/authgraph/internal/adopt"
)

func TestWhatIsLeftAfterAnAdoptionIsSaidInOneLine(t *testing.T) {
	t.Parallel()
	err := &adopt.LeftError{Statements: []adopt.Statement{
		{SQL: "ALTER TABLE `users`\n  DROP INDEX `a`,\n  DROP INDEX `b`"}, {SQL: "DROP TABLE `x`"},
	}}
	assert.EqualError(t, err, "the database still differs, because somebody else changes it or the server words "+
		"something else than it was told: ALTER TABLE `users` DROP INDEX `a`, DROP INDEX `b`: "+
		"adopt again while nobody else changes the tables")
	err.Obstacles = []adopt.Obstacle{{Table: "otps", Text: "the values are no JSON", Fix: "correct them"}}
	assert.EqualError(t, err, "somebody wrote to table otps meanwhile: the values are no JSON: "+
		"correct them, and adopt again")
}

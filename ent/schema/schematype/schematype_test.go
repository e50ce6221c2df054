package schematype

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestASubjectHasNoWhiteSpaceAroundIt(t *testing.T) {
	for _, subject := range []string{"1234", "a b", "AbC|x@y.z/ü", "\u200b"} {
		assert.NoError(t, ValidateSubject(subject), "%q", subject)
	}
	for _, subject := range []string{
		" 1234", "1234 ", "1234\t", "\n1234", "1234\r\n", "1234\u00a0", "\u3000" + "1234", "1234\u0085", " ",
		"\xff1234",
	} {
		assert.Error(t, ValidateSubject(subject), "%q", subject)
	}
}

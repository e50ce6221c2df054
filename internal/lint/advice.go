package lint

// advice is what to do about a finding of one of Atlas's analyzers, whose texts say only what was found.
var advice = map[string]string{
	"DS101": "make a backup, and drop it once nothing reads it",
	"DS102": "make a backup, and drop it once no running version of the service reads it",
	"DS103": "make a backup, and drop it once no running version of the service reads it",
	"MF101": "remove the duplicates in a statement before it",
	"MF102": "remove the duplicates in a statement before it",
	"MF103": "give it a DEFAULT, or add it as NULL, fill it, and make it NOT NULL afterwards",
	"MF104": "fill it in a statement before it, WHERE it IS NULL",
	"LT101": "fill it in a statement before it, WHERE it IS NULL",
	"CD101": "drop it only if the service itself keeps the rows in step",
	"BC101": "the running version asks for the old name, so make the new one, move the service, then drop the old",
	"BC102": "the running version asks for the old name, so add the new one, move the service, then drop the old",
	"MY101": "state a DEFAULT if that value is not meant",
	"MY102": "write FOREIGN KEY (COLUMN) REFERENCES as a part of its own",
}

// spared is what to do about a statement that blocks writers.
const spared = "run it while few write, or change a copy of the table as gh-ost and pt-online-schema-change do; " +
	"if the wait is meant, state LOCK or ALGORITHM in it"

func withAdvice(code, text string) string {
	if what, ok := advice[code]; ok {
		return text + ": " + what
	}
	return text
}

-- Names with every kind of quote, spaces, brackets, percent signs and letters of other scripts.
CREATE TABLE "a ""b' c" ("i""d" integer PRIMARY KEY, [e f] text, `g``h` int DEFAULT 1, "%s" int, 'i''j' int, "naïve (x), y" int);
CREATE INDEX "k""1" ON "a ""b' c" ([e f], `g``h`);
CREATE TABLE "ребёнок" (id integer PRIMARY KEY, "p""id" int REFERENCES "a ""b' c" ("i""d"));
CREATE TABLE "it's" (id int, "select" int, "check (" int, "new_x" int);
CREATE INDEX "it's too" ON "it's" (id);
CREATE TABLE "two
lines" ("a
b" int);

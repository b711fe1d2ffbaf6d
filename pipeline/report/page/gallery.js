// The list of questions: filtered, searched, drawn fifty at a time, bodies built when opened.
const PAGE = 50;
const STATUS = {
  gained: "✓ gained", lost: "✗ lost", right: "✓ both right", wrong: "✗ both wrong", open: "no truth",
  unparsed: "unparsed", one: "one model only",
};

const filters = { status: "all", family: "", source: "", search: "" };
let questions = [], strips = null, matching = [], drawn = 0;

function matches(question) {
  if (filters.status === "unparsed" ? !question.unparsed : filters.status === "flipped"
    ? !["gained", "lost"].includes(question.status) : filters.status !== "all" && question.status !== filters.status) return false;
  if (filters.family && question.family !== filters.family) return false;
  if (filters.source && question.source !== filters.source) return false;
  return !filters.search || haystack(question).includes(filters.search);
}

function haystack(question) {
  question.haystack ??= [question.id, question.video, question.question, ...question.options,
    question.base?.completion ?? "", question.policy?.completion ?? ""].join("\n").toLowerCase();
  return question.haystack;
}

function gave(question, side) {
  const option = question[side]?.option;
  return make("span", { class: `${side}-ink` }, `${side} ${LETTERS[option] ?? "–"}`);
}

function card(question) {
  const details = make("details", { class: "card", id: `q-${question.id}` },
    make("summary", {},
      make("span", { class: `badge ${question.status}` }, STATUS[question.status]),
      make("span", { class: "title" }, question.question),
      make("small", { class: "gave" }, gave(question, "base"), " → ", gave(question, "policy")),
      make("small", {}, question.family || question.source)));
  details.addEventListener("toggle", () => {
    if (!details.open || details.querySelector(".body")) return;
    strips ??= readJson("strips");
    details.append(questionBody(question, strips[question.clip]));
  });
  return details;
}

function drawMore() {
  const list = document.getElementById("questions-list");
  list.append(...matching.slice(drawn, drawn + PAGE).map(card));
  drawn = Math.min(matching.length, drawn + PAGE);
  const more = document.getElementById("more");
  more.hidden = drawn >= matching.length;
  more.textContent = `Show more (${matching.length - drawn} left)`;
}

function refresh() {
  matching = questions.filter(matches);
  drawn = 0;
  document.getElementById("questions-list").replaceChildren();
  document.getElementById("count").textContent = `${matching.length} of ${questions.length} questions`;
  drawMore();
}

function setUpFilters() {
  const buttons = [...document.querySelectorAll("[data-status]")];
  for (const button of buttons)
    button.addEventListener("click", () => {
      filters.status = button.dataset.status;
      for (const other of buttons) other.setAttribute("aria-pressed", other === button);
      refresh();
    });
  for (const name of ["family", "source"]) {
    const select = document.getElementById(`filter-${name}`);
    for (const value of [...new Set(questions.map((question) => question[name]).filter(Boolean))].sort())
      select.append(make("option", { value }, value));
    select.addEventListener("change", () => { filters[name] = select.value; refresh(); });
  }
  let waiting = 0;
  document.getElementById("search").addEventListener("input", (event) => {
    clearTimeout(waiting);
    waiting = setTimeout(() => { filters.search = event.target.value.trim().toLowerCase(); refresh(); }, 120);
  });
  document.getElementById("more").addEventListener("click", drawMore);
}

// #q-<id> opens that question, so that a link can point at one.
function openLinked() {
  const id = decodeURIComponent(location.hash.slice(3));
  const index = location.hash.startsWith("#q-") ? matching.findIndex((question) => question.id === id) : -1;
  if (index < 0) return;
  while (drawn <= index) drawMore();
  const details = document.getElementById(`q-${id}`);
  details.open = true;
  details.scrollIntoView();
}

// The first question that training gained, where the page begins: what the models saw and said, before any table.
function showExample() {
  const question = questions.find((one) => one.status === "gained");
  if (!question) return;
  strips ??= readJson("strips");
  if (!strips[question.clip]) return;
  document.getElementById("example").append(
    make("h3", {}, "A question that training gained"),
    make("p", { class: "asked" }, question.question), questionBody(question, strips[question.clip]));
}

async function setUpGallery() {
  if (!document.getElementById("questions-list")) return;
  questions = await inflateJson("questions");
  showExample();
  setUpFilters();
  refresh();
  openLinked();
  addEventListener("hashchange", openLinked);
}

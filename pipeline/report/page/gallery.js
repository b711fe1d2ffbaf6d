// The list of questions: filtered, searched, drawn fifty at a time, bodies built when opened.
const PAGE = 50;
const STATUS = {
  gained: "✓ gained", lost: "✗ lost", right: "✓ both right", wrong: "✗ both wrong", open: "no truth",
  unparsed: "unparsed", one: "one model only",
};

const compared = (key) => (a, b) => key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : a.place - b.place;
const certainty = (question) => question.policy?.probabilities?.[question.answer] ?? 2;
const ORDERS = {
  flips: (a, b) => a.place - b.place, family: compared((one) => one.family), clip: compared((one) => one.id),
  doubt: compared(certainty),
};

const filters = { status: "all", family: "", source: "", mistake: "", search: "", order: "flips" };
let questions = [], strips = null, matching = [], drawn = 0;

function matches(question) {
  if (["unparsed", "disagrees"].includes(filters.status) ? !question[filters.status] : filters.status === "flipped"
    ? !["gained", "lost"].includes(question.status) : filters.status !== "all" && question.status !== filters.status) return false;
  if (filters.mistake && question.mistake !== filters.mistake) return false;
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

// Many questions have the same words: the middle frame of the clip and the id tell them apart.
function thumbnail(question) {
  const picture = make("span", { class: "thumb", "aria-hidden": "true" });
  picture.dataset.clip = question.clip;
  seen.observe(picture);
  return picture;
}

const seen = new IntersectionObserver((entries) => {
  for (const { target } of entries.filter((entry) => entry.isIntersecting)) {
    seen.unobserve(target);
    strips ??= readJson("strips");
    const strip = strips[target.dataset.clip];
    if (!strip) continue;
    const count = strip.pts.length;
    Object.assign(target.style, {
      aspectRatio: `${strip.width} / ${strip.height}`,
      backgroundImage: `url(data:image/jpeg;base64,${strip.jpeg})`,
      backgroundSize: `${100 * count}% 100%`,
      backgroundPosition: `${count > 1 ? (100 * Math.floor(count / 2)) / (count - 1) : 0}% 0`,
    });
  }
});

function card(question) {
  const link = make("a", { class: "link", href: `#q-${encodeURIComponent(question.id)}`, title: "link to this question" }, question.id);
  const details = make("details", { class: "card", id: `q-${question.id}` },
    make("summary", {},
      thumbnail(question),
      make("span", { class: `badge ${question.status}` }, STATUS[question.status]),
      make("span", { class: "title" }, question.question, " ", make("small", {}, link)),
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
  matching = questions.filter(matches).sort(ORDERS[filters.order]);
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
  for (const button of document.querySelectorAll("[data-mistake]"))
    button.addEventListener("click", () => {
      showAll({ mistake: button.dataset.mistake, family: button.dataset.family });
      document.getElementById("questions-section").scrollIntoView();
    });
  for (const name of ["family", "source", "mistake"]) {
    const select = document.getElementById(`filter-${name}`);
    if (name !== "mistake") for (const value of [...new Set(questions.map((question) => question[name]).filter(Boolean))].sort())
      select.append(make("option", { value }, value));
    select.addEventListener("change", () => { filters[name] = select.value; refresh(); });
  }
  const order = document.getElementById("order");
  order.addEventListener("change", () => { filters.order = order.value; refresh(); });
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
  if (!location.hash.startsWith("#q-") || !questions.some((question) => question.id === id)) return;
  if (!matching.some((question) => question.id === id)) showAll();
  const index = matching.findIndex((question) => question.id === id);
  while (drawn <= index) drawMore();
  const details = document.getElementById(`q-${id}`);
  details.open = true;
  details.scrollIntoView();
}

function showAll(chosen = {}) {
  Object.assign(filters, { status: "all", family: "", source: "", mistake: "", search: "", ...chosen });
  for (const name of ["family", "source", "mistake"]) document.getElementById(`filter-${name}`).value = filters[name];
  document.getElementById("search").value = "";
  for (const button of document.querySelectorAll("[data-status]"))
    button.setAttribute("aria-pressed", button.dataset.status === "all");
  refresh();
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
  questions.forEach((question, place) => { question.place = place; });
  showExample();
  setUpFilters();
  refresh();
  openLinked();
  addEventListener("hashchange", openLinked);
}

// The console of one instance: /console/{id}, or /console/{id}?type=console for the text console.
// The token, where the gateway wants one, is asked for and kept in this page only.
"use strict"

const CHUNK = 16384 // bytes of one message; the gateway takes no more than 65536
// Bytes that the terminal has not drawn yet, from which on no more may come, and may come again.
const TOO_MANY = 1 << 20
const FEW = 1 << 18

const TEXTS = {
  zh: {
    token: "访问令牌",
    open: "打开",
    again: "重新连接",
    ended: "会话已结束，退出码 ",
    lost: "连接已中断",
    missing: "未安装 xterm.js：在安装目录中运行 make console-page，然后刷新此页",
  },
  en: {
    token: "API token",
    open: "Open",
    again: "Connect again",
    ended: "The session has ended with exit status ",
    lost: "The connection was lost",
    missing: "xterm.js is not installed: run make console-page where lxdfleet is, then reload",
  },
}
const language = navigator.language.startsWith("zh") ? "zh" : "en"
const texts = TEXTS[language]

const form = document.querySelector("#token")
const message = document.querySelector("#message")
const id = decodeURIComponent(location.pathname.split("/").at(-1))
const kind = new URLSearchParams(location.search).get("type")
let token = ""
let terminal

document.documentElement.lang = language
document.title = `${id} - lxdfleet`
form.querySelector("span").textContent = texts.token
form.querySelector("button").textContent = texts.open
message.querySelector("button").textContent = texts.again
form.addEventListener("submit", (event) => {
  event.preventDefault()
  token = form.querySelector("input").value
  connect()
})
message.querySelector("button").addEventListener("click", () => connect())

function say(text) {
  message.querySelector("span").textContent = text
  message.hidden = false
}

function newTerminal() {
  terminal?.dispose()
  terminal = new Terminal({ scrollback: 5000 })
  const fit = new FitAddon.FitAddon()
  terminal.loadAddon(fit)
  terminal.open(document.querySelector("#terminal"))
  fit.fit()
  terminal.focus()
  window.onresize = () => fit.fit()
}

async function connect() {
  form.hidden = message.hidden = true
  const headers = { "Accept-Language": language }
  if (token) headers.Authorization = `Bearer ${token}`
  const query = kind ? `?type=${encodeURIComponent(kind)}` : ""
  // Relative, for a proxy may have put the gateway under a path.
  const path = `../api/v1/vms/${encodeURIComponent(id)}/console${query}`
  try {
    const answer = await fetch(path, { headers })
    const body = await answer.json()
    if (answer.status === 401) form.hidden = false
    if (answer.ok) sit(body.data.url)
    else say(body.error.message)
  } catch {
    say(texts.lost)
  }
}

function sit(url) {
  newTerminal()
  const socket = new WebSocket(url)
  socket.binaryType = "arraybuffer"
  const tell = (what) => socket.readyState === WebSocket.OPEN && socket.send(JSON.stringify(what))
  const tellSize = ({ cols, rows }) => tell({ type: "resize", columns: cols, rows })
  const show = drawer(tell)
  let last = texts.lost

  socket.addEventListener("open", () => tellSize(terminal))
  socket.addEventListener("message", ({ data }) => {
    if (typeof data !== "string") return show(new Uint8Array(data))
    const said = JSON.parse(data)
    last = said.type === "end" ? texts.ended + (said.exit_status ?? "?") : said.detail
  })
  socket.addEventListener("close", () => say(last))
  terminal.onResize(tellSize)
  terminal.onData((text) => type(socket, new TextEncoder().encode(text)))
  terminal.onBinary((text) => type(socket, Uint8Array.from(text, (one) => one.charCodeAt(0))))
}

// Draws what comes, and lets no more come than can be drawn: a browser would take all there is.
function drawer(tell) {
  const drawn = terminal
  let waiting = 0
  let paused = false
  return (bytes) => {
    waiting += bytes.length
    if (!paused && waiting > TOO_MANY) {
      paused = true
      tell({ type: "pause" })
    }
    drawn.write(bytes, () => {
      waiting -= bytes.length
      if (paused && waiting < FEW) {
        paused = false
        tell({ type: "resume" })
      }
    })
  }
}

function type(socket, bytes) {
  if (socket.readyState !== WebSocket.OPEN) return
  for (let start = 0; start < bytes.length; start += CHUNK) {
    socket.send(bytes.slice(start, start + CHUNK))
  }
}

if (window.Terminal && window.FitAddon) connect()
else say(texts.missing)

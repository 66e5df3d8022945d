// The frame of every page: where one can go, what is wrong, and the keyboard.

import { useEffect, useRef, useState, type ReactNode } from "react";
import { NavLink, useLocation, useNavigate } from "react-router";

import { post } from "./api";
import { useNow, useWorld } from "./context";
import { isTyping, nameOf, PAGES } from "./keys";
import { useMay } from "./may";
import { IS_FLEET } from "./place";
import { changeTheme, theme } from "./theme";
import { since } from "./words";

const WITHIN_MS = 1500;

export function Shell({ children }: { children: ReactNode }) {
  const { session } = useWorld();
  const [help, setHelp] = useState(false);
  const [menu, setMenu] = useState(false);
  const [shade, setShade] = useState(theme);
  const location = useLocation();
  useKeyboard(() => setHelp((before) => !before));
  useEffect(() => {
    setMenu(false);
    document.title = `${nameOf(location.pathname)} · Kubiya workers`;
  }, [location.pathname]);
  return (
    <div className="shell">
      <a className="skip" href="#main">
        To the page
      </a>
      <nav className={menu ? "open" : ""} aria-label="Pages">
        <div className="brand">
          <span className="mark" aria-hidden="true" />
          <span>
            Kubiya
            <small>{IS_FLEET ? "all workers" : session.hostname}</small>
          </span>
          <button className="menu small" aria-expanded={menu} onClick={() => setMenu(!menu)}>
            Menu
          </button>
        </div>
        <ul>
          {PAGES.map((page) => (
            <li key={page.path}>
              <NavLink to={page.path} end={page.path === "/"}>
                {page.name}
                <kbd aria-hidden="true">{page.key}</kbd>
              </NavLink>
            </li>
          ))}
        </ul>
        <div className="nav-foot">
          <Connected />
          {session.guest && <Guest name={session.guest.key_name} scope={session.guest.key_scope} />}
          <div className="row">
            <button className="small" onClick={() => setShade(changeTheme())} title="Light, dark, or as the system says">
              {shade === "system" ? "Auto" : shade === "dark" ? "Dark" : "Light"}
            </button>
            <button className="small" onClick={() => setHelp(true)} aria-label="? Keyboard">
              ?
            </button>
            <span className="quiet">{session.version}</span>
          </div>
        </div>
      </nav>
      <div className="content">
        <Banner />
        <main id="main" tabIndex={-1}>
          {children}
        </main>
      </div>
      {help && <Help close={() => setHelp(false)} />}
    </div>
  );
}

/** Whose key the browser was let in with. */
function Guest({ name, scope }: { name: string; scope: string }) {
  const leave = () => {
    void post("/console/api/sign-out").finally(() => location.reload());
  };
  return (
    <div className="guest">
      <span className="clip" title={`Signed in with the key ${name}, scope ${scope}`}>
        {name} <span className="quiet">{scope}</span>
      </span>
      <button className="small" onClick={leave}>
        Sign out
      </button>
    </div>
  );
}

function Connected() {
  const { live, isHeard } = useWorld();
  const state = !isHeard ? "lost" : (live?.connection.state ?? "connecting");
  const words = { connected: "Control plane connected", connecting: "Connecting", lost: "Control plane away" };
  return (
    <NavLink to="/control-plane" className={`connected ${state}`}>
      <span className="dot" aria-hidden="true" />
      {isHeard || IS_FLEET ? words[state] : "No web interface"}
    </NavLink>
  );
}

/** What is wrong, in one sentence each. */
function Banner() {
  const { live, isHeard } = useWorld();
  const may = useMay("run");
  const now = useNow();
  const away = live?.connection.state === "lost" ? live.connection : null;
  return (
    <div role="status" aria-live="polite">
      {may !== null && <p className="banner">{may} Nothing can be run or changed from here.</p>}
      {!isHeard && (
        <p className="banner bad">
          The {IS_FLEET ? "control plane" : "web interface"} does not answer: what is shown is from before. It is asked
          again by itself.
        </p>
      )}
      {isHeard && away && (
        <p className="banner bad">
          The control plane at {away.url} has been {IS_FLEET ? "unwell" : "away"} for {since(away.since, now)}:{" "}
          {lastError(away.samples)}. Workers go on with what they have.
          <span className="remedy">
            {away.embedded ? "Start it again: kubiya server start" : "Check its address and the way to it: kubiya doctor"}
          </span>
        </p>
      )}
    </div>
  );
}

function lastError(samples: readonly { error: string | null }[]): string {
  return samples.findLast((sample) => sample.error !== null)?.error ?? "it does not answer";
}

function useKeyboard(toggleHelp: () => void): void {
  const navigate = useNavigate();
  const toggle = useRef(toggleHelp);
  toggle.current = toggleHelp;
  useEffect(() => {
    let goes = 0;
    const onKey = (event: KeyboardEvent) => {
      if (isTyping(event)) {
        if (event.key === "Escape") (event.target as HTMLElement).blur();
        return;
      }
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const page = event.timeStamp - goes < WITHIN_MS ? PAGES.find((one) => one.key === event.key) : undefined;
      goes = 0;
      if (page) void navigate(page.path);
      else if (event.key === "g") goes = event.timeStamp;
      else if (event.key === "?") toggle.current();
      else if (event.key === "/") {
        const search = document.querySelector<HTMLInputElement>("input[type=search]");
        if (search) {
          event.preventDefault();
          search.focus();
        }
      }
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, [navigate]);
}

function Help({ close }: { close: () => void }) {
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => event.key === "Escape" && close();
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, [close]);
  return (
    <div className="veil" onClick={close}>
      <div className="dialog" role="dialog" aria-modal="true" aria-label="Keyboard" onClick={(e) => e.stopPropagation()}>
        <h2>Keyboard</h2>
        <table className="keys">
          <tbody>
            <Key keys={["/"]} does="Search on this page" />
            <Key keys={["j", "k"]} does="Next, previous row" />
            <Key keys={["Enter"]} does="Open the row" />
            {PAGES.map((page) => (
              <Key key={page.key} keys={["g", page.key]} does={page.name} />
            ))}
            <Key keys={["?"]} does="This" />
          </tbody>
        </table>
        <div className="row end">
          <button className="primary" onClick={close} autoFocus>
            Close
          </button>
        </div>
      </div>
    </div>
  );
}

function Key({ keys, does }: { keys: readonly string[]; does: string }) {
  return (
    <tr>
      <td>
        {keys.map((key) => (
          <kbd key={key}>{key}</kbd>
        ))}
      </td>
      <td>{does}</td>
    </tr>
  );
}

import { createRoot } from "react-dom/client";
import { BrowserRouter } from "react-router";

import { App } from "./app";
import { BASE } from "./place";
import { applyTheme } from "./theme";
import "./styles.css";

applyTheme();
const root = document.getElementById("root");
if (root) {
  createRoot(root).render(
    <BrowserRouter basename={BASE}>
      <App />
    </BrowserRouter>,
  );
}

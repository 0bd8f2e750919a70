import { mount } from "svelte";
import App from "./App.svelte";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/parts.css";

const target = document.getElementById("console");
if (!target) throw new Error("index.html has no #console");
mount(App, { target });
